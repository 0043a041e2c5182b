// A reporter for node's test runner that counts: one JSON document at the end. A file in
// which nothing ran counts as a failure, so that an empty suite can't look like a good one.

import { basename } from 'node:path'

export default async function* count(events) {
  const files = new Map()
  let passed = 0
  let failed = 0
  let skipped = 0
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const whole = data.nesting === 0 && basename(data.name) === basename(data.file ?? '') // the file itself, not a test in it
    const tests = files.get(data.file) ?? 0
    if (whole) {
      if (type === 'test:fail' && tests === 0) failed++
      continue
    }
    if (data.details?.type === 'suite') {
      if (type === 'test:fail' && data.details.error?.failureType === 'hookFailed') failed++
      continue
    }
    files.set(data.file, tests + 1)
    if (data.skip !== undefined || data.todo !== undefined) skipped++
    else if (type === 'test:pass') passed++
    else failed++
  }
  yield JSON.stringify({ passed, failed, skipped, files: files.size })
}
