import type { LedgerContext } from './context.ts'
import { findKey, type Submission, type Submitted } from './submit.ts'

const OTHER_BODY = {
  ok: false,
  code: 'idempotency_mismatch',
  detail: 'This Idempotency-Key was used within the last 24 hours with another batch. Use a new key for a new request.',
} as const satisfies Submitted

/**
 * Takes many jobs at once, and answers for each in order. A batch has one key: with another body nothing of it is taken. Jobs
 * of a repeated batch that lie in object storage are brought back, and then it is answered as it was.
 */
export const takeBatch = async (
  context: LedgerContext,
  batch: Submission[],
  take: (batch: Submission[]) => Submitted[],
  recall: (id: string) => Promise<void>,
): Promise<Submitted[]> => {
  if (batch.some(({ idempotency }) => idempotency && (findKey(context, idempotency.key)?.body ?? idempotency.body) !== idempotency.body))
    return batch.map(() => OTHER_BODY)
  const submitted = take(batch)
  const moved = submitted.flatMap((one) => (!one.ok && one.moved !== undefined ? [one.moved] : []))
  if (moved.length === 0) return submitted
  for (const id of moved) await recall(id)
  // All have keys: what was taken just now is answered again.
  return take(batch)
}
