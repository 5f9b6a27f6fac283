package jobs

import (
	"fmt"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// schemaVersion is kept in the file's user_version. Each step up is an entry of
// schemaSteps, applied to older files when they are opened.
const schemaVersion = 2

// schemaSteps[i] leads from version i to i+1.
//
// Times are microseconds since 1970 in UTC, 0 for none. What is packed (load, detail,
// data) has the form of blob.go. A return's load is in the row where it is short,
// else in blobs, so that the rows stay small and a scan of them quick.
var schemaSteps = [schemaVersion]string{`
CREATE TABLE jobs (
	jid      TEXT PRIMARY KEY,
	fun      TEXT NOT NULL,
	tgt      TEXT NOT NULL, -- JSON list of the expression, or of the members of a list
	tgt_type TEXT NOT NULL,
	user     TEXT NOT NULL,
	start    INTEGER NOT NULL,
	expiry   INTEGER NOT NULL,
	until    INTEGER NOT NULL, -- the latest of expiry and all queued_until
	ended    INTEGER NOT NULL,
	own      INTEGER NOT NULL, -- 1: published here; 0: made of a return
	detail   BLOB NOT NULL,    -- map of arg, tgt, metadata
	load     BLOB NOT NULL
);
CREATE INDEX jobs_start ON jobs (start, jid);
CREATE INDEX jobs_until ON jobs (until) WHERE until > 0;
CREATE TABLE targets (
	jid          TEXT NOT NULL,
	minion       TEXT NOT NULL,
	state        INTEGER NOT NULL,
	queued_until INTEGER NOT NULL,
	acked        INTEGER NOT NULL,
	running      INTEGER NOT NULL,
	alive        INTEGER NOT NULL,
	PRIMARY KEY (jid, minion)
) WITHOUT ROWID;
CREATE TABLE returns (
	jid      TEXT NOT NULL,
	minion   TEXT NOT NULL,
	fun      TEXT NOT NULL, -- '' where it is the job's
	retcode  INTEGER NOT NULL,
	success  INTEGER NOT NULL,
	received INTEGER NOT NULL,
	blob     INTEGER NOT NULL, -- row of blobs that holds the load, or 0
	load     BLOB,
	PRIMARY KEY (jid, minion)
) WITHOUT ROWID;
CREATE TABLE blobs (
	id   INTEGER PRIMARY KEY,
	data BLOB NOT NULL
);
CREATE TABLE trash ( -- jobs whose rows are being removed
	jid TEXT PRIMARY KEY
) WITHOUT ROWID;
CREATE TABLE minion_data (
	kind INTEGER NOT NULL, -- see minions.go
	id   TEXT NOT NULL,
	updated INTEGER NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (kind, id)
);
CREATE TABLE presence (
	id        TEXT PRIMARY KEY,
	seen      INTEGER NOT NULL,
	connected INTEGER NOT NULL,
	lost      TEXT NOT NULL
) WITHOUT ROWID;
`, `
ALTER TABLE targets ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;
`}

// prepareSchema brings a file to schemaVersion.
func prepareSchema(conn *sqlite.Conn) (err error) {
	end, err := sqlitex.ImmediateTransaction(conn)
	if err != nil {
		return err
	}
	defer end(&err)
	var version int64
	err = sqlitex.ExecuteTransient(conn, "PRAGMA user_version", &sqlitex.ExecOptions{
		ResultFunc: func(st *sqlite.Stmt) error { version = st.ColumnInt64(0); return nil },
	})
	if err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("the file is of version %d, this program knows versions up to %d: start the newer program that wrote it, or move the file away", version, schemaVersion)
	}
	for ; version < schemaVersion; version++ {
		if err := sqlitex.ExecuteScript(conn, schemaSteps[version], nil); err != nil {
			return err
		}
	}
	return sqlitex.ExecuteTransient(conn, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion), nil)
}

func pragmaText(conn *sqlite.Conn, query string) (text string, err error) {
	err = sqlitex.ExecuteTransient(conn, query, &sqlitex.ExecOptions{
		ResultFunc: func(st *sqlite.Stmt) error { text = st.ColumnText(0); return nil },
	})
	return text, err
}
