// A bare server, asked as often: what the machine, TLS and this generator cost by themselves.
import http from 'k6/http';
import { BASE, STATS, arrivals, told } from './common.js';

const RATE = Number(__ENV.RATE);

export const options = {
  scenarios: { floor: arrivals(RATE, 50) },
  summaryTrendStats: STATS,
  thresholds: { http_req_failed: ['rate==0'] },
};

export default function () {
  http.get(`${BASE}/health`);
}

export const handleSummary = told;
