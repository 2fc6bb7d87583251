// A bare server, each time over a new connection: what a handshake costs this machine and this generator at least.
import http from 'k6/http';
import { BASE, STATS, arrivals, told } from './common.js';

const RATE = Number(__ENV.RATE);

export const options = {
  scenarios: { floor: arrivals(RATE, 50) },
  summaryTrendStats: STATS, noConnectionReuse: true,
  thresholds: { http_req_failed: ['rate==0'] },
};

export default function () {
  http.get(`${BASE}/health`);
}

export const handleSummary = told;
