package returners

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// redis stores results under the keys of Salt's returner: the hash ret:JID has the
// returns by minion, load:JID the job, MINION:FUNCTION the last job id, and the set
// minions their ids.
type redis struct {
	network, addr  string
	user, password string
	db             int
	keep           int64
	c              *resp
}

// openRedis makes the returner redis. Options: redis.host (localhost), redis.port
// (6379), redis.db (0), redis.unix_socket_path, and, gosalt's own, redis.username and
// redis.password. Jobs are kept for keep_jobs_seconds. Clusters are not supported.
func openRedis(o Options, env Env) (Returner, error) {
	r := &redis{network: "tcp", user: o.Text("redis", "username", ""), password: o.Text("redis", "password", ""), keep: env.Keep}
	if v := strings.ToLower(o.Text("redis", "cluster_mode", "False")); v != "false" && v != "0" {
		return nil, errors.New("redis.cluster_mode: clusters are not supported, one server is expected")
	}
	port, err := o.Int("redis", "port", 6379)
	if err != nil {
		return nil, err
	}
	if r.db, err = o.Int("redis", "db", 0); err != nil {
		return nil, err
	}
	r.addr = net.JoinHostPort(o.Text("redis", "host", "localhost"), strconv.Itoa(port))
	if path := o.Text("redis", "unix_socket_path", ""); path != "" {
		r.network, r.addr = "unix", path
	}
	return r, nil
}

func (r *redis) Close() {
	if r.c != nil {
		r.c.close()
		r.c = nil
	}
}

// do sends commands and returns their answers, over a new connection where there is none.
func (r *redis) do(ctx context.Context, cmds ...[]string) ([]any, error) {
	if r.c == nil {
		c, err := dialResp(ctx, r.network, r.addr)
		if err != nil {
			return nil, fmt.Errorf("connect to redis at %s: %w", r.addr, err)
		}
		r.c = c
		var hello [][]string
		switch {
		case r.user != "":
			hello = append(hello, []string{"AUTH", r.user, r.password})
		case r.password != "":
			hello = append(hello, []string{"AUTH", r.password})
		}
		if r.db != 0 {
			hello = append(hello, []string{"SELECT", strconv.Itoa(r.db)})
		}
		if len(hello) > 0 {
			if _, err := r.c.do(ctx, hello); err != nil {
				r.Close()
				return nil, fmt.Errorf("redis at %s: %w", r.addr, err)
			}
		}
	}
	answers, err := r.c.do(ctx, cmds)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("redis at %s: %w", r.addr, err)
	}
	return answers, nil
}

func (r *redis) Store(ctx context.Context, recs []Record) (int, error) {
	var cmds [][]string
	for i, rec := range recs {
		c, err := r.commands(rec)
		if err != nil {
			if i > 0 {
				if _, err := r.do(ctx, cmds...); err != nil {
					return 0, err
				}
			}
			return i, err
		}
		cmds = append(cmds, c...)
	}
	if len(cmds) == 0 {
		return len(recs), nil
	}
	// Each command does the same again when it comes twice.
	if _, err := r.do(ctx, cmds...); err != nil {
		return 0, err
	}
	return len(recs), nil
}

// commands are those that store one record.
func (r *redis) commands(rec Record) ([][]string, error) {
	if rec.Kind == Event {
		return nil, Refuse(errors.New("redis keeps no events"))
	}
	text, err := JSON(rec.Data)
	if err != nil {
		return nil, err
	}
	jid := rec.Data.Text("jid")
	expire := func(key string) []string { return []string{"EXPIRE", key, strconv.FormatInt(r.keep, 10)} }
	var cmds [][]string
	if rec.Kind == Load {
		cmds = append(cmds, []string{"SET", "load:" + jid, text})
		if r.keep > 0 {
			cmds = append(cmds, expire("load:"+jid))
		}
		return cmds, nil
	}
	minion := rec.Data.Text("id")
	cmds = append(cmds, []string{"HSET", "ret:" + jid, minion, text})
	if r.keep > 0 {
		cmds = append(cmds, expire("ret:"+jid))
	}
	return append(cmds, []string{"SET", minion + ":" + FunName(rec.Data), jid}, []string{"SADD", "minions", minion}), nil
}

func (r *redis) Load(ctx context.Context, jid string) (*wire.Map, error) {
	a, err := r.do(ctx, []string{"GET", "load:" + jid})
	if err != nil {
		return nil, err
	}
	text, ok := a[0].(string)
	if !ok {
		return nil, nil
	}
	return ParseMap(text)
}

func (r *redis) Returns(ctx context.Context, jid string) (*wire.Map, error) {
	a, err := r.do(ctx, []string{"HGETALL", "ret:" + jid})
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	list, _ := a[0].([]any)
	for i := 0; i+1 < len(list); i += 2 {
		id, _ := list[i].(string)
		text, _ := list[i+1].(string)
		m, err := ParseMap(text)
		if err != nil {
			return nil, fmt.Errorf("return of %s to job %s in redis: %w", id, jid, err)
		}
		out.Set(id, m)
	}
	return out, nil
}

func (r *redis) Jobs(ctx context.Context) (*wire.Map, error) {
	out := wire.NewMap()
	for cursor := "0"; ; {
		a, err := r.do(ctx, []string{"SCAN", cursor, "MATCH", "load:*", "COUNT", "500"})
		if err != nil {
			return nil, err
		}
		page, _ := a[0].([]any)
		if len(page) != 2 {
			return nil, errors.New("redis: answer to SCAN of unknown form")
		}
		keys, _ := page[1].([]any)
		for _, k := range keys {
			key, _ := k.(string)
			jid := strings.TrimPrefix(key, "load:")
			load, err := r.Load(ctx, jid)
			if err != nil {
				return nil, err
			}
			if load != nil {
				out.Set(jid, load)
			}
		}
		if cursor, _ = page[0].(string); cursor == "0" || cursor == "" {
			return out, nil
		}
	}
}
