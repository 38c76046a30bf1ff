export { type Prepared, prepareSubmission } from '../ledger/prepare.ts'
