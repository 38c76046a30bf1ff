import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Exactly these: an unpinned install takes an older PyIceberg. */
const PACKAGES = ['pyiceberg==0.12.0', 'pyarrow==26.0.1']
const MIN_PYTHON = [3, 10] as const
const INSTALL_LIMIT_MS = 10 * 60_000
const ANSWER_LIMIT_MS = 3 * 60_000

/** A reader from elsewhere, in a process of its own. */
export interface PyIceberg {
  versions: string
  /** Sends one request to `reader.py` and returns its answer. Throws with what Python said. */
  ask(request: { ask: string; uri: string; token: string } & Record<string, unknown>): Promise<unknown>
}

interface Ran {
  code: number
  output: string
  said: string
}

const run = (command: string, args: string[], input: string, limitMs: number): Promise<Ran> =>
  new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
    let output = ''
    let said = ''
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
    child.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    const end = (code: number, words: string): void => {
      clearTimeout(timer)
      resolve({ code, output, said: said + words })
    }
    child.on('error', (fault) => end(1, fault.message))
    child.on('close', (code, signal) => end(code ?? 1, signal === null ? '' : `ended by ${signal} after ${limitMs / 1_000} s`))
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })

const findPython = async (): Promise<string> => {
  for (const name of ['python3', 'python']) {
    const { code, output } = await run(name, ['-c', 'import sys, venv; print(sys.version_info.major, sys.version_info.minor)'], '', 20_000)
    const [major = 0, minor = 0] = output.trim().split(' ').map(Number)
    if (code === 0 && (major > MIN_PYTHON[0] || (major === MIN_PYTHON[0] && minor >= MIN_PYTHON[1]))) return name
  }
  throw new Error(`Python ${MIN_PYTHON.join('.')} or newer with its venv module is needed (Debian: apt install python3-venv)`)
}

/** Installs PyIceberg into a folder of its own, once. Throws with what pip said where it cannot. */
export const openPyIceberg = async (cache: string, script: string, say: (line: string) => void): Promise<PyIceberg> => {
  const venv = join(cache, 'venv')
  const python = join(venv, 'bin/python')
  const note = join(cache, 'installed')
  const versions = PACKAGES.join(' ')
  if (!existsSync(python) || !existsSync(note) || readFileSync(note, 'utf8') !== versions) {
    say(`installing ${versions} into ${cache} (about 300 MB, once) …`)
    rmSync(venv, { recursive: true, force: true })
    mkdirSync(cache, { recursive: true })
    const made = await run(await findPython(), ['-m', 'venv', venv], '', 120_000)
    if (made.code !== 0) throw new Error(`no virtual environment could be made: ${made.said || made.output}`)
    const installed = await run(
      python,
      ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary', 'pyarrow', ...PACKAGES],
      '',
      INSTALL_LIMIT_MS,
    )
    if (installed.code !== 0) throw new Error(`pip could not install ${versions}: ${installed.said || installed.output}`)
    writeFileSync(note, versions)
  }
  return {
    versions,
    ask: async (request) => {
      const { code, output, said } = await run(python, [script], JSON.stringify(request), ANSWER_LIMIT_MS)
      if (code !== 0) throw new Error(`${request.ask}: Python ended with ${code}:\n${said.slice(-2_000)}`)
      return JSON.parse(output)
    },
  }
}
