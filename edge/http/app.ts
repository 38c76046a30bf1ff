import { Hono } from 'hono'
import { Problem } from '../contract/problems.ts'
import { restApp } from '../rest/rest.ts'
import { restDeps } from '../rest/wire.ts'
import { handleS3, isS3Path } from '../s3/handler.ts'
import { serveAsset } from './assets.ts'
import { batchApp } from './batch.ts'
import type { AppEnv } from './context.ts'
import { deadApp } from './dead.ts'
import { eventsApp } from './events.ts'
import { figuresApp } from './figures.ts'
import { groupsApp } from './groups.ts'
import { allow, hostGuard } from './guard.ts'
import { healthApp } from './health.ts'
import { jobsApp, submitHandler } from './jobs.ts'
import { methodsOf } from './methods.ts'
import { nodesApp } from './nodes.ts'
import { openApiDocument } from './openapi/document.ts'
import { placesApp } from './places.ts'
import { onError } from './problem.ts'
import { queuesApp } from './queues.ts'
import { resultsApp } from './results.ts'
import { schedulesApp } from './schedules.ts'
import { sliceAddressApp, slicesApp } from './slices.ts'
import { tasksApp } from './tasks.ts'

/** Prefixes that belong to the API: what is not found below them is a problem, not the page. */
const API = /^\/(v1|node|iceberg|openapi\.json|healthz|readyz)(\/|$)/

/** The whole HTTP surface. One file a resource; every error leaves through `onError`. */
export const app = new Hono<AppEnv>()
  .onError((error, c) => onError(error, c))
  .notFound(async (c) => {
    const { pathname } = new URL(c.req.url)
    // A deployment without the page has no such binding.
    if ('ASSETS' in c.env && !API.test(pathname) && (c.req.method === 'GET' || c.req.method === 'HEAD')) {
      const asset = await serveAsset(c)
      if (asset) return asset
    }
    const methods = methodsOf(pathname)
    // RFC 9110, section 15.5.6: the answer says which methods there are.
    if (methods.length > 0)
      return onError(
        new Problem(
          'method_not_allowed',
          `${c.req.method.slice(0, 20)} does nothing at ${pathname.slice(0, 200)}; it takes ${methods.join(', ')}.`,
          {
            headers: { allow: methods.join(', ') },
          },
        ),
        c,
      )
    return onError(
      new Problem('not_found', `There is nothing at ${c.req.method} ${pathname.slice(0, 200)}. GET /openapi.json describes the API.`),
      c,
    )
  })
  .use(async (c, next) => {
    c.set('requestId', crypto.randomUUID())
    await next()
    // What says nothing of its own is for this reader alone, and is what its type says.
    if (c.res.status === 101 || !API.test(c.req.path)) return
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store')
    c.res.headers.set('x-content-type-options', 'nosniff')
  })
  .use(hostGuard)
  .route('/', healthApp)
  .get('/openapi.json', (c) => c.json(openApiDocument(new URL(c.req.url).origin)))
  .route('/v1/tasks', tasksApp)
  .post('/v1/tasks/:task/jobs', allow('jobs:submit'), (c) => submitHandler(c))
  .route('/v1/jobs', batchApp)
  .route('/v1/jobs', jobsApp)
  .route('/v1', eventsApp)
  .route('/v1/jobs', resultsApp)
  .route('/v1/jobs', slicesApp)
  .route('/v1/groups', groupsApp)
  .route('/v1/schedules', schedulesApp)
  .route('/v1/queues', queuesApp)
  .route('/v1', deadApp)
  .route('/v1/ledger', figuresApp)
  .route('/v1/results', sliceAddressApp)
  .route('/v1', placesApp)
  .route('/node/v1', nodesApp)
  .route('/iceberg/v1', restApp(restDeps))
  .all('*', async (c, next) => (isS3Path(new URL(c.req.url).pathname) ? handleS3(c.req.raw, c.env) : next()))
