package minion

import (
	"context"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// renew gets the master's new shared key after a publish that old could not open: from
// a gosalt master under the session key, from any other by a sign-in. renewed is true
// where the first of these brought another key.
func (l *link) renew(ctx context.Context, old *credentials) (c *credentials, renewed bool, err error) {
	if old != nil && l.current() == old && old.gosalt {
		key, err := l.sharedKey(ctx)
		if err == nil {
			if c, renewed := l.take(old, key); c != nil {
				return c, renewed, nil
			}
		} else {
			l.log.Debug("the new shared key could not be asked for: signing in", "error", err)
		}
	}
	c, err = l.signIn(ctx, old, false)
	return c, false, err
}

// take puts a shared key into the credentials, unless they have changed meanwhile, and
// returns those that count now.
func (l *link) take(old *credentials, key *seal.Key) (c *credentials, renewed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.creds != old || key.Equal(old.shared) { // with no new key, the publish is not the master's
		return l.creds, false
	}
	fresh := *old
	fresh.shared, fresh.keyID = key, key.Digest()[:16]
	l.creds = &fresh
	return l.creds, true
}

// sharedKey asks for the shared key.
func (l *link) sharedKey(ctx context.Context) (*seal.Key, error) {
	v, err := l.do(ctx, wire.SharedKey{}.ToMap())
	if err != nil {
		return nil, err
	}
	r, err := wire.SharedKeyReplyFromValue(v)
	if err != nil {
		return nil, err
	}
	return seal.ParseKey(r.AES)
}
