import { KeySet } from '../identity/keys.ts'
import { first, type Store } from '../storage/store.ts'

/** Issuers' keys in the Directory's database. What cannot be read counts as absent: it is fetched again. */
export const storedKeys = (store: Store): { read(issuer: string): KeySet | null; write(issuer: string, set: KeySet): void } => ({
  read: (issuer) => {
    const row = first<{ body: string }>(store, 'SELECT body FROM issuer_keys WHERE issuer = ?', issuer)
    return row ? (KeySet.safeParse(JSON.parse(row.body)).data ?? null) : null
  },
  write: (issuer, set) => {
    store.run(
      'INSERT INTO issuer_keys (issuer, body) VALUES (?, ?) ON CONFLICT (issuer) DO UPDATE SET body = excluded.body',
      issuer,
      JSON.stringify(set),
    )
  },
})
