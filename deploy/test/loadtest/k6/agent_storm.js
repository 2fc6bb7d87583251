// The heartbeats of five thousand agents, each with a key of its own, one after another.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { BASE, STATS, arrivals, atLeast, authorized, isRight, told } from './common.js';

const AGENTS = 5000;
const RATE = 167;
const good = new Counter('agent_storm_ok');

export const options = {
  scenarios: { agent_storm: arrivals(RATE, 100) },
  summaryTrendStats: STATS,
  thresholds: {
    'http_req_duration{scenario:agent_storm}': ['p(95)<500', 'p(99)<1000'],
    'http_req_failed{scenario:agent_storm}': ['rate<0.001'],
    agent_storm_ok: [atLeast(RATE)],
  },
};

export default function () {
  const number = String((exec.scenario.iterationInTest % AGENTS) + 1).padStart(5, '0');
  const body = JSON.stringify({ version: '2.1.0', hostname: `loadtest-${number}.fleet.example.test`, os: 'linux', architecture: 'amd64' });
  // As seed/02_agent_fleet.sql has it.
  const res = http.post(`${BASE}/api/v1/agents/ag-loadtest-${number}/heartbeat`, body, {
    headers: authorized(`loadtest-agent-key-${number}`), tags: { name: 'heartbeat' },
  });
  if (isRight(res, 200, 'application/json', (reply) => reply.status === 'heartbeat_recorded')) good.add(1);
}

export const handleSummary = told;
