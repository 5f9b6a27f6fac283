package minion

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/protocol/transport"
)

// noMaster is a network on which no master answers.
type noMaster struct{ transport.Dialer }

func (noMaster) Requester(string) transport.Requester { return noMasterConn{} }

type noMasterConn struct{ transport.Requester }

func (noMasterConn) Do(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("connection refused")
}
func (noMasterConn) Close() error { return nil }

// Who ends a join between two tries is told so, and not that its time is over.
func TestJoinInterrupted(t *testing.T) {
	cfg := JoinConfig{ID: "web1", Masters: []string{"192.0.2.1"}}
	cfg.Minion = &config.Minion{}
	cfg.PKIDir, cfg.KeySize, cfg.MasterPort = t.TempDir(), 2048, 4506
	cfg.Dial = noMaster{}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		cfg.Say = func(string) { stop() }
		_, err := Join(ctx, cfg)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "--timeout") {
			t.Error(err)
		}
	})
}
