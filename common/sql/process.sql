-- The rows by which every process makes itself known.

-- name: apiserver_seen :one
SELECT apiserver_seen($1, $2, $3, $4::int, $5, $6);
