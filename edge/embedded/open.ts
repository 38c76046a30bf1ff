import { readNote } from './folder.ts'
import { CodeAnswer } from './issuer.ts'
import { explain, readSettings, StartFault } from './settings.ts'

/** `npm run -s open`: a new sign-in address of the running instance, good once and for a minute. */
try {
  const { state } = readSettings(process.env)
  const running = readNote(state)
  const absent = `nothing is running on ${state}: start it by npm start`
  if (!running) throw new StartFault(absent)
  let answer: Response
  try {
    answer = await fetch(`${running.issuer}/codes`, { method: 'POST', headers: { authorization: `Bearer ${running.control}` } })
  } catch {
    throw new StartFault(absent)
  }
  if (!answer.ok) throw new StartFault(`${running.issuer} refused (${answer.status}): start again by npm start`)
  process.stdout.write(`${running.origin}/#code=${CodeAnswer.parse(await answer.json()).code}\n`)
} catch (fault) {
  explain(fault)
  process.exitCode = 1
}
