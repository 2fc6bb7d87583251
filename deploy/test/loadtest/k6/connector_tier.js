// New TLS connections to servers whose certificates certctl deployed, each verified up to certctl's own CA: a hundred a minute to each.
import http from 'k6/http';
import { Counter } from 'k6/metrics';
import { SECONDS, STATS, isRight, told } from './common.js';

const PORTS = JSON.parse(__ENV.PORTS);
const RATE = 100;
const OFFERED = (RATE * SECONDS) / 60;
const NAMES = Object.keys(PORTS);
const TYPE = 'text/plain'; // as servers.py has each of them say
const good = {};
const scenarios = {};
const hosts = {};
const thresholds = {};

for (const name of NAMES) {
  good[name] = new Counter(`${name}_handshakes_ok`);
  hosts[`${name}.example.test`] = '127.0.0.1';
  scenarios[name] = {
    executor: 'constant-arrival-rate', rate: RATE, timeUnit: '1m', duration: `${SECONDS}s`, preAllocatedVUs: 10, maxVUs: 10,
    exec: 'handshake', env: { SERVER: name },
  };
  thresholds[`http_req_tls_handshaking{scenario:${name}}`] = ['p(95)<1000'];
  thresholds[`http_req_failed{scenario:${name}}`] = ['rate<0.01'];
  thresholds[`${name}_handshakes_ok`] = [`count>=${Math.floor(0.99 * OFFERED)}`];
}

export const options = {
  scenarios: scenarios, hosts: hosts, thresholds: thresholds, summaryTrendStats: STATS, noConnectionReuse: true,
};

export function handshake() {
  const name = __ENV.SERVER;
  const res = http.get(`https://${name}.example.test:${PORTS[name]}/index.html`);
  const isGood = res.timings.tls_handshaking > 0 && res.tls_version === 'tls1.3' && String(res.body).trim() === name
    && isRight(res, 200, TYPE, null);
  if (isGood) good[name].add(1);
}

export const handleSummary = told;
