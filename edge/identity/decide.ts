import type { NodeId, TenantId } from '../contract/ids.ts'
import type { Identity, NodeIdentity, Person } from './identity.ts'
import { matchesAny, servesTenant } from './patterns.ts'
import type { Scope } from './scopes.ts'

/** What only nodes do: dial in, announce a task, and work for (read, write, slice for) a tenant. */
export type NodeAction = 'node:link' | 'node:announce' | 'node:work'
export type Action = Scope | NodeAction

/** What the action is about. What an action needs and is not given is refused. */
export interface Resource {
  tenant?: TenantId
  task?: string
  node?: NodeId
}

export type Decision = { allow: true } | { allow: false; code: 'insufficient_scope' | 'not_found'; detail: string }

const ALLOW: Decision = { allow: true }
const deny = (detail: string): Decision => ({ allow: false, code: 'insufficient_scope', detail })

/**
 * The one place that says who may do what: pure, total, and silent about what exists. A person's resource of another
 * tenant is refused as `not_found`, exactly like one that is not there (I6).
 */
export const decide = (identity: Identity, action: Action, resource: Resource): Decision =>
  identity.kind === 'person' ? RULES[action].person(identity, resource) : RULES[action].node(identity, resource)

interface Rule {
  person: (person: Person, resource: Resource) => Decision
  node: (node: NodeIdentity, resource: Resource) => Decision
}

const scoped = (scope: Scope): Rule => ({
  person: (person, resource) => {
    // The scope first: whoever lacks it learns nothing, not even by the kind of refusal.
    if (!person.scopes.includes(scope)) return deny(`the token lacks the scope ${scope}: get one that has it`)
    if (resource.tenant !== person.tenant) return { allow: false, code: 'not_found', detail: 'no such resource' }
    return ALLOW
  },
  node: () => deny('a node token does not work here: use a token of a person or service'),
})

const forNodes = (node: Rule['node']): Rule => ({
  person: () => deny('only a node token works here'),
  node,
})

const RULES: Record<Action, Rule> = {
  'tasks:read': scoped('tasks:read'),
  'tasks:sql': scoped('tasks:sql'),
  'jobs:submit': scoped('jobs:submit'),
  'jobs:read': scoped('jobs:read'),
  'jobs:cancel': scoped('jobs:cancel'),
  'jobs:delete': scoped('jobs:delete'),
  'results:read': scoped('results:read'),
  'catalog:read': scoped('catalog:read'),
  'queues:manage': scoped('queues:manage'),
  'node:link': forNodes((node, { node: name }) => (name === node.name ? ALLOW : deny(`the token is that of node ${node.name}`))),
  'node:announce': forNodes((node, { task }) =>
    task !== undefined && matchesAny(node.tasks, task) ? ALLOW : deny("the task is outside the token's task patterns"),
  ),
  'node:work': forNodes((node, { tenant, task }) => {
    if (tenant === undefined || !servesTenant(node.tenants, tenant)) return deny('the token does not name this tenant')
    if (task !== undefined && !matchesAny(node.tasks, task)) return deny("the task is outside the token's task patterns")
    return ALLOW
  }),
}
