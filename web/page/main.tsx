import './styles/index.css'
import { render } from 'preact'
import { App } from './app.tsx'
import { followAddress } from './route.ts'
import { signInByAddress } from './session.ts'

const root = document.getElementById('page')
if (root === null) throw new Error('the document has no place for the page')

// The code leaves the address before anything reads the address.
const signing = signInByAddress()
followAddress()
render(<App />, root)
void signing
