ALTER TABLE duties DROP COLUMN is_asked;
