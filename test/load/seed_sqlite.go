package main

import (
	"context"
	"database/sql"
	"net/url"

	_ "modernc.org/sqlite" // driver
)

type sqlite struct{ db *sql.DB }

func openSQLite(path string) (*sqlite, error) {
	q := url.Values{"_pragma": {"busy_timeout(30000)", "foreign_keys(1)", "journal_mode(wal)", "synchronous(normal)"}, "mode": {"rw"}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &sqlite{db}, nil
}

func (s *sqlite) columns(ctx context.Context, table string) (names []string, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT name FROM pragma_table_xinfo($1) WHERE hidden = 0", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func (s *sqlite) exec(ctx context.Context, sql string, args ...any) error {
	_, err := s.db.ExecContext(ctx, sql, args...)
	return err
}

func (s *sqlite) dialect() dialect {
	return dialect{
		users:      "users",
		identities: "identities",
		series:     "(WITH RECURSIVE r(n) AS (SELECT $1 UNION ALL SELECT n + 1 FROM r WHERE n < $2) SELECT n FROM r) AS s",
		email:      "'load-' || s.n || '@example.com'",
		userID: "printf('%08x-%04x-7%03x-8%03x-%012x', (1704067200000 + s.n) >> 16, (1704067200000 + s.n) & 65535," +
			" s.n * 40503 & 4095, s.n * 48271 & 4095, s.n * 2654435761 & 281474976710655)",
		identityID: "printf('%s-%s-4%s-8%s-%s', lower(hex(randomblob(4))), lower(hex(randomblob(2)))," +
			" substr(lower(hex(randomblob(2))), 2), substr(lower(hex(randomblob(2))), 2), lower(hex(randomblob(6))))",
		providerID:   "u.id",
		identityData: "json_set(t.identity_data, '$.sub', u.id, '$.email', u.email)",
		finish:       []string{"ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"},
	}
}

func (s *sqlite) postmaster(context.Context) (int, error) { return 0, nil }

func (s *sqlite) close() error { return s.db.Close() }
