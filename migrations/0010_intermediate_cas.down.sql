DROP TABLE target_tests;
