//go:build linux

// Package dbtest starts database servers for tests: on the loopback interface, with
// their data in a directory of the test, ended with it.
package dbtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Server is a database server that a test can stop and start again on the same port
// with the same data.
type Server struct {
	Port int
	Dir  string // of its data and logs

	t     testing.TB
	name  string
	args  []string
	cred  *syscall.Credential
	ready func() error
	cmd   *exec.Cmd
	log   bytes.Buffer
}

// FreePort is a port that nothing listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// dir is a directory of the test that the given user may use.
func dir(t testing.TB, cred *syscall.Credential) string {
	t.Helper()
	d, err := os.MkdirTemp("", "dbtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(d) })
	if cred != nil {
		if err := os.Chown(d, int(cred.Uid), int(cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// Redis starts a Redis server. The test is skipped where none is installed.
func Redis(t testing.TB) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	s := &Server{Port: FreePort(t), Dir: dir(t, nil), t: t, name: "redis"}
	s.args = []string{path, "--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.Dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always"}
	s.ready = func() error {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprint(c, "PING\r\n")
		b := make([]byte, 7)
		if n, err := c.Read(b); err != nil || string(b[:n]) != "+PONG\r\n" {
			return fmt.Errorf("redis answers %q (%v)", b[:n], err)
		}
		return nil
	}
	s.Start()
	return s
}

// Addr is the server's address.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Start starts the server and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.Dir, &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	s.t.Cleanup(func() {
		if s.cmd == cmd {
			s.Stop()
		}
	})
	deadline := time.Now().Add(time.Minute)
	for {
		err := s.ready()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s does not answer: %v\n%s", s.name, err, s.log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop ends the server at once; what it had confirmed is on its disk.
func (s *Server) Stop() {
	if s.cmd != nil {
		s.cmd.Process.Signal(syscall.SIGINT) // of PostgreSQL: do not wait for clients
		s.cmd.Wait()
		s.cmd = nil
	}
}

// Postgres starts a PostgreSQL server with the database "salt" of the user "salt"
// with the password "secret". The test is skipped where none is installed.
func Postgres(t testing.TB) *Server {
	t.Helper()
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if p, err := exec.LookPath("initdb"); err == nil && len(bins) == 0 {
		bins = append(bins, filepath.Dir(p))
	}
	if len(bins) == 0 {
		t.Skip("PostgreSQL is not installed")
	}
	bin := slices.Max(bins)
	s := &Server{Port: FreePort(t), t: t, name: "postgres"}
	if os.Getuid() == 0 { // which PostgreSQL refuses to run as
		u, err := user.Lookup("postgres")
		if err != nil {
			u, err = user.Lookup("nobody")
		}
		if err != nil {
			t.Skip(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	s.Dir = dir(t, s.cred)
	data, pw := filepath.Join(s.Dir, "data"), filepath.Join(s.Dir, "pw")
	if err := os.WriteFile(pw, []byte("secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run(bin+"/initdb", "-D", data, "-U", "salt", "--pwfile", pw, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync")
	s.args = []string{bin + "/postgres", "-D", data, "-p", strconv.Itoa(s.Port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.Dir}
	s.ready = func() error { return s.psql(bin, "postgres", "SELECT 1") }
	s.Start()
	if err := s.psql(bin, "postgres", "CREATE DATABASE salt"); err != nil {
		t.Fatal(err)
	}
	return s
}

// Client is PostgreSQL's psql.
func (s *Server) Client() string { return filepath.Join(filepath.Dir(s.args[0]), "psql") }

// Exec runs statements in the database "salt" and returns what psql prints.
func (s *Server) Exec(statements string) string {
	s.t.Helper()
	out, err := s.psqlOutput(filepath.Dir(s.args[0]), "salt", statements)
	if err != nil {
		s.t.Fatalf("psql: %v\n%s", err, out)
	}
	return out
}

func (s *Server) psql(bin, db, statements string) error {
	out, err := s.psqlOutput(bin, db, statements)
	if err != nil {
		return fmt.Errorf("psql: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) psqlOutput(bin, db, statements string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin+"/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", "salt", "-d", db, "-c", statements)
	cmd.Env = append(os.Environ(), "PGPASSWORD=secret")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a program of the server's as its user.
func (s *Server) run(name string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = s.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Tables are the statements that make the tables of Salt's returner pgjsonb, or, with
// text in the place of jsonb, of postgres.
func Tables(json string) string {
	return `CREATE TABLE jids (jid varchar(255) NOT NULL PRIMARY KEY, load ` + json + ` NOT NULL);
CREATE TABLE salt_returns (fun varchar(50) NOT NULL, jid varchar(255) NOT NULL, return ` + json + ` NOT NULL,
  id varchar(255) NOT NULL, success varchar(10) NOT NULL, full_ret ` + json + ` NOT NULL, alter_time TIMESTAMP WITH TIME ZONE DEFAULT NOW());
CREATE INDEX idx_salt_returns_jid ON salt_returns (jid);
CREATE SEQUENCE seq_salt_events_id;
CREATE TABLE salt_events (id BIGINT NOT NULL UNIQUE DEFAULT nextval('seq_salt_events_id'), tag varchar(255) NOT NULL,
  data ` + json + ` NOT NULL, alter_time TIMESTAMP WITH TIME ZONE DEFAULT NOW(), master_id varchar(255) NOT NULL);`
}
