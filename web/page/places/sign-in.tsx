import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { signIn, signInProblem, signingIn } from '../session.ts'

export const SignIn = (): JSX.Element => {
  const [token, setToken] = useState('')
  const clean = token.trim()
  return (
    <main class="sign-in" id="main" tabIndex={-1}>
      <h1>Scarab</h1>
      {signingIn.value ? (
        <p role="status">Signing in…</p>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault()
            if (clean !== '') signIn(clean, null)
          }}
        >
          {signInProblem.value === null ? null : (
            <p class="problem" role="alert">
              {signInProblem.value}
            </p>
          )}
          <p>
            On the machine that runs Scarab, <code>npm run -s open</code> prints an address that signs you in. It works once, for a minute.
          </p>
          <label class="field">
            <span>Or paste a token</span>
            <input
              type="password"
              name="token"
              autocomplete="off"
              spellcheck={false}
              value={token}
              data-hook="token"
              onInput={(event) => setToken(event.currentTarget.value)}
            />
          </label>
          <p class="quiet">It stays in this tab until you close it.</p>
          <button type="submit" class="button primary" disabled={clean === ''}>
            Sign in
          </button>
        </form>
      )}
    </main>
  )
}
