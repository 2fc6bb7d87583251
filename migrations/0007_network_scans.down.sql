DROP TABLE scep_probe_results, network_scan_targets;
