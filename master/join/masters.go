package join

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/protocol/seal"
)

// ErrNoAddress says that neither join_masters nor interface nor the machine's name is an
// address.
var ErrNoAddress = errors.New("by which address minions reach this master cannot be told: say it once and for all by join_masters in the master's configuration")

// Masters are the addresses by which minions find a master: join_masters, or what its
// interface or its name says; else ErrNoAddress.
func Masters(cfg *config.Master) ([]string, error) {
	if len(cfg.JoinMasters) > 0 {
		return cfg.JoinMasters, seal.CheckMasters(cfg.JoinMasters)
	}
	host := cfg.Interface
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil && ip.IsUnspecified() {
		var err error
		if host, err = os.Hostname(); err != nil || host == "" || strings.HasPrefix(host, "localhost") {
			return nil, ErrNoAddress
		}
	}
	if cfg.RetPort != 4506 {
		host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(cfg.RetPort))
	}
	return []string{host}, nil
}
