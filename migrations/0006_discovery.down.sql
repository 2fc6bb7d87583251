DROP TABLE discovered_counts, discovered_certificates, discovery_scans;
DROP SEQUENCE discovered_changes;
