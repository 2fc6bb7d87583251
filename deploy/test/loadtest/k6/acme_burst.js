// Two hundred ACME clients, each from an address of its own, that ask each second what needs no signature: the directory, a nonce, when
// to renew.  One more asks as fast as it can, so that the limiter refuses it: each refusal must be a problem (RFC 8555 section 6.6).
import http from 'k6/http';
import exec from 'k6/execution';
import { sleep } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';
import { BASE, SECONDS, STATS, isRight, told } from './common.js';

const VUS = 200;
const PROFILE = `${BASE}/acme/profile/prof-test`;
// Of a certificate that was issued here.
const CERTID = __ENV.CERTID;
const NOBODYS = 'aaaa.bbbb';
const TYPE = 'urn:ietf:params:acme:error:';
const ROUNDS = VUS * SECONDS;
const AT_ONCE = 200; // requests of the flood, over as many connections: twice what the limiter lets an address ask at once
const REFUSED = 5 * SECONDS; // at least

const directory = new Trend('acme_directory_duration', true);
const nonce = new Trend('acme_new_nonce_duration', true);
const info = new Trend('acme_renewal_info_duration', true);
const directoryOk = new Counter('acme_directory_ok');
const nonceOk = new Counter('acme_new_nonce_ok');
const infoOk = new Counter('acme_renewal_info_ok');
const unknownOk = new Counter('acme_renewal_info_unknown_ok');
const limited = new Counter('acme_rate_limited_count');
const shapeOk = new Counter('acme_rate_limit_shape_ok');
const clientLimited = new Counter('acme_client_rate_limited_count');
const wrong = new Rate('acme_unexpected');

const most = (part) => `count>=${Math.floor(0.99 * part)}`;

export const options = {
  scenarios: {
    acme_burst: { executor: 'constant-vus', vus: VUS, duration: `${SECONDS}s`, gracefulStop: '30s' },
    acme_flood: { executor: 'constant-vus', vus: 1, duration: `${SECONDS}s`, gracefulStop: '30s', exec: 'flood' },
  },
  summaryTrendStats: STATS,
  batch: AT_ONCE,
  batchPerHost: AT_ONCE,
  thresholds: {
    acme_directory_duration: ['p(95)<500'],
    acme_new_nonce_duration: ['p(95)<300'],
    acme_renewal_info_duration: ['p(95)<800'],
    'http_req_failed{server_error:true}': ['rate<0.001'],
    acme_directory_ok: [most(ROUNDS)],
    acme_new_nonce_ok: [most(ROUNDS)],
    acme_renewal_info_ok: [most(0.9 * ROUNDS)],
    acme_renewal_info_unknown_ok: [most(0.09 * ROUNDS)],
    acme_client_rate_limited_count: ['count==0'],
    acme_rate_limited_count: [`count>=${REFUSED}`],
    acme_rate_limit_shape_ok: [`count>=${REFUSED}`],
    acme_unexpected: ['rate<0.001'],
  },
};

// Every answer has the tag, which says of how many it is the rate: those of the server's own fault fail, the expected do not.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 499 }));
const TAGS = { tags: { server_error: 'true' } };

function isProblem(res, kind) {
  const type = (res.headers['Content-Type'] || '').split(';')[0];
  let told = {};
  try {
    told = res.json();
  } catch (e) {
    return false;
  }
  return type === 'application/problem+json' && told.type === TYPE + kind && typeof told.detail === 'string';
}

function isRefusal(res) {
  if (res.status !== 429) return false;
  limited.add(1);
  if (isProblem(res, 'rateLimited') && Number(res.headers['Retry-After']) >= 1) shapeOk.add(1);
  return true;
}

// Counts what is right, and what is neither right nor a refusal.
function judge(res, isGood, counter) {
  if (isRefusal(res)) {
    clientLimited.add(1);
    return;
  }
  if (isGood) counter.add(1);
  wrong.add(!isGood);
}

function askInfo(round) {
  const isKnown = round % 10 !== 9;
  const res = http.get(`${PROFILE}/renewal-info/${isKnown ? CERTID : NOBODYS}`, Object.assign({}, TAGS));
  info.add(res.timings.duration);
  if (isKnown) {
    judge(res, isRight(res, 200, 'application/json', (told) => told.suggestedWindow.start < told.suggestedWindow.end)
      && Number(res.headers['Retry-After']) >= 1, infoOk);
  } else {
    judge(res, (res.status === 400 || res.status === 404) && isProblem(res, 'malformed'), unknownOk);
  }
}

export default function () {
  // A round a second, each client at its own part of it; who was kept waiting catches up.
  const due = exec.scenario.startTime + 1000 * (exec.vu.iterationInScenario + ((exec.vu.idInTest - 1) % VUS) / VUS);
  sleep(Math.max(0, due - Date.now()) / 1000);
  let res = http.get(`${PROFILE}/directory`, Object.assign({}, TAGS));
  directory.add(res.timings.duration);
  judge(res, isRight(res, 200, 'application/json', (told) => told.newNonce === `${PROFILE}/new-nonce` && told.renewalInfo), directoryOk);
  res = http.head(`${PROFILE}/new-nonce`, Object.assign({}, TAGS));
  nonce.add(res.timings.duration);
  judge(res, res.status === 200 && /^[A-Za-z0-9_-]{16,}$/.test(res.headers['Replay-Nonce'] || ''), nonceOk);
  // Each client asks for a certificate that nobody has in every tenth round, not all in the same one.
  askInfo(exec.vu.iterationInScenario + exec.vu.idInTest);
}

export function flood() {
  const one = { method: 'GET', url: `${PROFILE}/directory`, params: TAGS };
  for (const res of http.batch(Array(AT_ONCE).fill(one))) {
    if (!isRefusal(res)) wrong.add(res.status !== 200);
  }
  sleep(1);
}

export const handleSummary = told;
