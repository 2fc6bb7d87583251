// Fifty certificates made a second, and fifty pages of the list read.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { BASE, SECONDS, STATS, arrivals, atLeast, authorized, isRight, told } from './common.js';

const RATE = 50;
const PAGE = 50;
const created = new Counter('api_create_ok');
const listed = new Counter('api_list_ok');

export const options = {
  scenarios: {
    api_create: arrivals(RATE, 150, { exec: 'create' }),
    api_list: arrivals(RATE, 150, { exec: 'list' }),
  },
  summaryTrendStats: STATS,
  thresholds: {
    'http_req_duration{scenario:api_create}': ['p(95)<2000', 'p(99)<5000'],
    'http_req_duration{scenario:api_list}': ['p(95)<800', 'p(99)<2000'],
    'http_req_failed{scenario:api_create}': ['rate<0.01'],
    'http_req_failed{scenario:api_list}': ['rate<0.01'],
    api_create_ok: [atLeast(RATE)],
    api_list_ok: [atLeast(RATE)],
  },
};

export function create() {
  const name = `loadtest-api-${SECONDS}-${exec.scenario.iterationInTest}.example.test`;
  const body = JSON.stringify({
    name: name, common_name: name, sans: [name], issuer_id: 'iss-local', owner_id: 'o-alice', team_id: 't-platform',
    renewal_policy_id: 'rp-standard', environment: 'production',
  });
  const res = http.post(`${BASE}/api/v1/certificates`, body, { headers: authorized(__ENV.KEY), tags: { name: 'create' } });
  if (isRight(res, 201, 'application/json', (made) => made.name === name && made.common_name === name && made.id)) created.add(1);
}

export function list() {
  const res = http.get(`${BASE}/api/v1/certificates?per_page=${PAGE}`, { headers: authorized(__ENV.KEY), tags: { name: 'list' } });
  const isGood = isRight(res, 200, 'application/json', (page) => page.data.length === Math.min(PAGE, page.total) && page.total >= PAGE
    && page.data.every((c) => c.id && c.name));
  if (isGood) listed.add(1);
}

export const handleSummary = told;
