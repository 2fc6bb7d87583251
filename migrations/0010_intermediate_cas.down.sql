DROP TABLE intermediate_ca_requests, intermediate_ca_keys, intermediate_cas, target_tests;
