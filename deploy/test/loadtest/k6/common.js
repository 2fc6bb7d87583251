// What the scripts share: what they were told, how an answer is judged, and the summary that k6.py reads.
import { check } from 'k6';
import { Counter } from 'k6/metrics';

export const BASE = __ENV.BASE;
export const SECONDS = Number(__ENV.SECONDS);
export const STATS = ['count', 'min', 'avg', 'med', 'p(95)', 'p(99)', 'max'];

// So many of what is offered at that rate must have succeeded: none holds by absence.
export function atLeast(rate) {
  return `count>=${Math.floor(0.99 * rate * SECONDS)}`;
}

// A load that comes whether or not the answers before it have: a slow server is asked no less.  All VUs are there from the
// start, for iterations are dropped while another is made.
export function arrivals(rate, vus, more) {
  return Object.assign({
    executor: 'constant-arrival-rate', rate: rate, timeUnit: '1s', duration: `${SECONDS}s`,
    preAllocatedVUs: vus, maxVUs: vus, gracefulStop: '30s',
  }, more || {});
}

export function authorized(key) {
  return { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
}

function parsed(res) {
  try {
    return res.json();
  } catch (e) {
    return null;
  }
}

// What came instead of the status that was expected.
const instead = { 0: new Counter('answers_none'), 429: new Counter('answers_429'), 503: new Counter('answers_503') };
const other = new Counter('answers_of_another_status');

// Whether an answer has the status, the content type, and the body that judge(json) wants.
export function isRight(res, status, type, judge) {
  const told = (res.headers['Content-Type'] || '').split(';')[0];
  const body = judge ? parsed(res) : null;
  const wanted = {};
  if (res.status !== status) (instead[res.status] || other).add(1);
  wanted[`status ${status}`] = () => res.status === status;
  wanted[`content type ${type}`] = () => told === type;
  wanted['body'] = () => !judge || (body !== null && Boolean(judge(body)));
  return check(res, wanted);
}

// What handleSummary returns: everything, into the file that was named; nothing is printed.
export function told(data) {
  const files = {};
  files[__ENV.SUMMARY] = JSON.stringify(data);
  return files;
}
