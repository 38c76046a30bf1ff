import { z } from 'zod'
import { COMPONENTS, type Component } from './components.ts'
import { EVENT_OPERATIONS } from './events.ts'
import { GROUP_OPERATIONS } from './groups.ts'
import { JOB_OPERATIONS } from './jobs.ts'
import { type Operation, type Schema, text } from './parts.ts'
import { PLACE_OPERATIONS } from './places.ts'
import { QUEUE_OPERATIONS } from './queues.ts'
import { RESULT_OPERATIONS } from './results.ts'
import { TIME_OPERATIONS } from './time.ts'

/** Every operation of the native API. A test compares this list with the routes that are mounted. */
export const OPERATIONS: readonly Operation[] = [
  ...JOB_OPERATIONS,
  ...EVENT_OPERATIONS,
  ...GROUP_OPERATIONS,
  ...TIME_OPERATIONS,
  ...QUEUE_OPERATIONS,
  ...RESULT_OPERATIONS,
  ...PLACE_OPERATIONS,
]

const reference = (name: Component): Schema => ({ $ref: `#/components/schemas/${name}` })

const problem = { description: 'Problem', content: { 'application/problem+json': { schema: reference('Problem') } } }

const operationOf = ({ summary, scope, parameters = [], path, body, answers, problems }: Operation): Schema => ({
  summary,
  ...(scope === null ? { security: [] } : { security: [{ bearer: [scope] }] }),
  parameters: [...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: text })), ...parameters],
  ...(body ? { requestBody: { required: false, content: { 'application/json': { schema: reference(body) } } } } : {}),
  responses: {
    ...Object.fromEntries(
      Object.entries(answers).map(([status, { description, schema, type, json, csv }]) => {
        const content = {
          ...(schema || type ? { [type ?? 'application/json']: schema ? { schema: reference(schema) } : {} } : {}),
          ...(json ? { 'application/json': { schema: reference(json) } } : {}),
          ...(csv ? { 'text/csv': {} } : {}),
        }
        return [status, { description, ...(Object.keys(content).length > 0 ? { content } : {}) }]
      }),
    ),
    ...Object.fromEntries(problems.map((status) => [status, problem])),
    // Whatever else goes wrong: another method or host, a part that does not answer.
    default: problem,
  },
})

/** Each component once, under its name; what refers to another component, or to itself, does so by `$ref`. */
const schemas = (): Record<string, Schema> => {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(COMPONENTS)) registry.add(schema, { id })
  const made = z.toJSONSchema(registry, {
    target: 'draft-2020-12',
    unrepresentable: 'any',
    io: 'input',
    uri: (id) => `#/components/schemas/${id}`,
  })
  // Dialect and address are the document's, not the component's.
  return Object.fromEntries(Object.entries(made.schemas).map(([id, { $schema: _dialect, $id: _address, ...schema }]) => [id, schema]))
}

let document: Schema | null = null

/** OpenAPI 3.1 (whose schemas are JSON Schema 2020-12), derived from the contract's schemas once a Worker. */
export const openApiDocument = (origin: string): Schema => {
  document ??= {
    openapi: '3.1.0',
    info: { title: 'Scarab', version: '1.0.0', description: 'Run SQL reports once, slice the results anywhere.' },
    paths: OPERATIONS.reduce<Record<string, Schema>>((paths, operation) => {
      paths[operation.path] = { ...paths[operation.path], [operation.method]: operationOf(operation) }
      return paths
    }, {}),
    components: {
      schemas: schemas(),
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  }
  return { ...document, servers: [{ url: origin }] }
}
