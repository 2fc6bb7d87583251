// The renewal of ten thousand certificates, asked for again and again: the first call finds all of them due, those behind it find
// them in progress.
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { BASE, STATS, arrivals, atLeast, authorized, isRight, told } from './common.js';

const CERTIFICATES = 10000;
const RATE = 5;
const good = new Counter('bulk_renewal_ok');
const enqueued = new Counter('bulk_renewal_enqueued');
const matched = new Trend('bulk_renewal_matched');

export const options = {
  scenarios: { bulk_renewal: arrivals(RATE, 30) },
  summaryTrendStats: STATS,
  thresholds: {
    'http_req_duration{scenario:bulk_renewal}': ['p(95)<2000', 'p(99)<5000'],
    'http_req_failed{scenario:bulk_renewal}': ['rate<0.01'],
    bulk_renewal_ok: [atLeast(RATE)],
    bulk_renewal_matched: [`min>=${CERTIFICATES}`, `max<=${CERTIFICATES}`],
    bulk_renewal_enqueued: [`count>=${CERTIFICATES}`],
  },
};

export default function () {
  const criteria = JSON.stringify({ team_id: 't-platform', issuer_id: 'iss-local' });
  const res = http.post(`${BASE}/api/v1/certificates/bulk-renew`, criteria, {
    headers: authorized(__ENV.KEY), tags: { name: 'bulk-renew' }, timeout: '60s',
  });
  const isGood = isRight(res, 200, 'application/json', (reply) => {
    matched.add(reply.total_matched);
    enqueued.add(reply.total_enqueued);
    return reply.total_matched === CERTIFICATES && reply.total_failed === 0
      && reply.total_enqueued + reply.total_skipped === CERTIFICATES && (reply.enqueued_jobs || []).length === reply.total_enqueued;
  });
  if (isGood) good.add(1);
}

export const handleSummary = told;
