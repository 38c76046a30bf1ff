import { Hono } from 'hono'
import type { AppEnv } from './context.ts'
import { taggedJson } from './etags.ts'
import { allow } from './guard.ts'
import { ledgerOf } from './jobs.ts'

/** The tenant's ledger in numbers: how much waits, and how late timers are. */
export const figuresApp = new Hono<AppEnv>().get('/', allow('jobs:read'), async (c) => taggedJson(c, await ledgerOf(c).figures()))
