package modules

import (
	"context"
	"strconv"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
)

func init() { register("dnsutil.serial", dnsutilSerial) }

type dnsutilSerialArgs struct {
	Zone   string `default:""`      // Name of the zone; each has a serial of its own.
	Update bool   `default:"False"` // Make the next serial, and keep it.
}

// dnsutilSerial returns the serial number of a DNS zone: the day and two digits. It is kept
// in the grain dnsserial_ZONE, which can be set by hand; without one it is today's
// first. With update=True it goes up, by one on the same day.
//
//	gosalt ns1 dnsutil.serial example.com
//	gosalt ns1 dnsutil.serial example.com update=True
func dnsutilSerial(ctx context.Context, c *module.Call, a dnsutilSerialArgs) (any, error) {
	key := "dnsserial"
	if a.Zone != "" {
		key += "_" + a.Zone
	}
	stored, err := c.Call(ctx, "grains.get", []any{key}, nil)
	if err != nil {
		return nil, err
	}
	present := time.Now().Format("20060102") + "01"
	if !a.Update {
		if module.Truth(stored) {
			return stored, nil
		}
		return present, nil
	}
	current := present
	if text := pytext.Str(stored); module.Truth(stored) && text >= present {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, module.Failf("the grain %s is %q, and has to be a number as %s", key, text, present)
		}
		current = strconv.FormatInt(n+1, 10)
	}
	if _, err := c.Call(ctx, "grains.setval", []any{key, current}, nil); err != nil {
		return nil, err
	}
	return current, nil
}
