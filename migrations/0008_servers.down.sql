ALTER TABLE apiservers DROP COLUMN server;
ALTER TABLE schedulers DROP COLUMN server;
ALTER TABLE workers DROP COLUMN server;
DROP TABLE database_servers;
