import { pipInstall, run } from './python.ts'

/** Exactly these: an unpinned install takes an older PyIceberg. */
const PACKAGES = ['pyiceberg==0.12.0', 'pyarrow==26.0.1']
const ANSWER_LIMIT_MS = 3 * 60_000

/** A reader from elsewhere, in a process of its own. */
export interface PyIceberg {
  versions: string
  /** Sends one request to `reader.py` and returns its answer. Throws with what Python said. */
  ask(request: { ask: string; uri: string; token: string } & Record<string, unknown>): Promise<unknown>
}

/** Installs PyIceberg into a folder of its own, once (about 300 MB). Throws with what pip said where it cannot. */
export const openPyIceberg = async (cache: string, script: string, say: (line: string) => void): Promise<PyIceberg> => {
  const python = await pipInstall(cache, PACKAGES, { args: ['--only-binary', 'pyarrow'], say })
  return {
    versions: PACKAGES.join(' '),
    ask: async (request) => {
      const { code, output, said } = await run(python, [script], JSON.stringify(request), ANSWER_LIMIT_MS)
      if (code !== 0) throw new Error(`${request.ask}: Python ended with ${code}:\n${said.slice(-2_000)}`)
      return JSON.parse(output)
    },
  }
}
