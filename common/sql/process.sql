-- The rows by which every process makes itself known.

-- name: ping :one
SELECT 1 AS one;
