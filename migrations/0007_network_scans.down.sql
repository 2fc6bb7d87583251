DROP TABLE network_totals, scep_probe_results, network_scan_targets;
