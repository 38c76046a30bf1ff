import './styles/index.css'
import { render } from 'preact'
import { App } from './app.tsx'
import { followAddress } from './route.ts'
import { signInByAddress } from './session.ts'

const root = document.getElementById('page')
if (root === null) throw new Error('the document has no place for the page')

// The code leaves the address before anything reads the address.
void signInByAddress()
// A new code may be opened in a tab that is here already: then only the fragment changes.
addEventListener('hashchange', () => void signInByAddress())
followAddress()
render(<App />, root)
