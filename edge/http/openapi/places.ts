import { type Operation, query } from './parts.ts'

/** What there is around jobs: nodes, tables, the session, the service itself. */
export const PLACE_OPERATIONS: Operation[] = [
  {
    method: 'get',
    path: '/v1/nodes',
    summary: 'Nodes that serve this tenant',
    scope: 'jobs:read',
    answers: { 200: { description: 'All nodes', schema: 'NodePage' } },
    problems: [401, 403],
  },
  {
    method: 'get',
    path: '/v1/tables',
    summary: 'Report families of this tenant',
    scope: 'catalog:read',
    answers: { 200: { description: 'All families', schema: 'TablePage' } },
    problems: [401, 403],
  },
  {
    method: 'get',
    path: '/v1/session',
    summary: 'Who the token says one is',
    scope: 'tasks:read',
    answers: { 200: { description: 'Tenant, subject, scopes', schema: 'Session' } },
    problems: [401, 403],
  },
  {
    method: 'get',
    path: '/v1/session/config',
    summary: 'Where to sign in',
    scope: null,
    answers: { 200: { description: 'Issuers', schema: 'SignIn' } },
    problems: [],
  },
  {
    method: 'get',
    path: '/openapi.json',
    summary: 'This document',
    scope: null,
    answers: { 200: { description: 'OpenAPI 3.1', type: 'application/json' } },
    problems: [],
  },
  {
    method: 'get',
    path: '/healthz',
    summary: 'The Worker runs',
    scope: null,
    answers: { 200: { description: 'ok', schema: 'Health' } },
    problems: [],
  },
  {
    method: 'get',
    path: '/readyz',
    summary: 'A job could be taken',
    scope: null,
    parameters: [query('pool', 'Which pool (default)')],
    answers: {
      200: { description: 'A node has joined', schema: 'Readiness' },
      503: { description: 'No node has joined', schema: 'Readiness' },
    },
    problems: [400],
  },
]
