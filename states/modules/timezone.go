package modules

import (
	"context"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("timezone.system", timezoneSystem)
	register("locale.system", localeSystem)
	register("locale.present", localePresent)
}

type timezoneArgs struct {
	Name string // Name of the zone: Europe/Berlin.
	UTC  bool   `default:"True" arg:"utc"` // Have the hardware clock in UTC; False leaves it as it is.
}

// timezoneSystem sets the system's time zone.
func timezoneSystem(ctx context.Context, c *states.Call, a timezoneArgs) (*states.Plan, error) {
	same, err := c.Call.Call(ctx, "timezone.zone_compare", args(a.Name), nil)
	if err != nil {
		return nil, module.Failf("Unable to compare desired timezone '%s' to system timezone: %w", a.Name, err)
	}
	clock, err := c.Call.Call(ctx, "timezone.get_hwclock", nil, nil)
	if err != nil {
		return nil, err
	}
	zone, utc := same != true, a.UTC && clock == "localtime"
	fine := []string{fmt.Sprintf("Timezone %s already set", a.Name)}
	if a.UTC {
		fine = append(fine, fmt.Sprintf("UTC already set to %s", a.Name))
	}
	p := &states.Plan{Fine: strings.Join(fine, ", ")}
	var would, did []string
	if zone {
		would = append(would, fmt.Sprintf("Timezone %s needs to be set", a.Name))
		did = append(did, fmt.Sprintf("Set timezone %s", a.Name))
		p.Do(nil, func(ctx context.Context, r *states.Result) error {
			v, err := c.Call.Call(ctx, "timezone.set_zone", args(a.Name), nil)
			if err != nil {
				return err
			}
			if v != true {
				return module.Failf("Failed to set timezone")
			}
			r.Change("timezone", a.Name)
			return nil
		})
	}
	if utc {
		would = append(would, "UTC needs to be set to True")
		did = append(did, "Set UTC to True")
		p.Do(nil, func(ctx context.Context, r *states.Result) error {
			v, err := c.Call.Call(ctx, "timezone.set_hwclock", args("UTC"), nil)
			if err != nil {
				return err
			}
			if v != true {
				return module.Failf("Failed to set UTC to True")
			}
			r.Change("utc", true)
			return nil
		})
	}
	p.Would, p.Did = strings.Join(would, ", "), strings.Join(did, ", ")
	return p, nil
}

type localeArgs struct {
	Name string // Name of the locale: en_US.UTF-8.
}

// localeSystem sets the system's locale.
func localeSystem(ctx context.Context, c *states.Call, a localeArgs) (*states.Plan, error) {
	now, err := c.Call.Call(ctx, "locale.get_locale", nil, nil)
	if err != nil {
		return nil, module.Failf("Failed to set system locale: %w", err)
	}
	p := &states.Plan{
		Fine:  fmt.Sprintf("System locale %s already set", a.Name),
		Would: fmt.Sprintf("System locale %s needs to be set", a.Name),
		Did:   fmt.Sprintf("Set system locale %s", a.Name),
	}
	if now == a.Name {
		return p, nil
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "locale.set_locale", args(a.Name), nil)
		if err != nil {
			return module.Failf("Failed to set system locale: %w", err)
		}
		if v != true {
			return module.Failf("Failed to set system locale to %s", a.Name)
		}
		r.SetChanges(wire.NewMap("locale", a.Name))
		return nil
	})
	return p, nil
}

// localePresent makes a locale usable.
func localePresent(ctx context.Context, c *states.Call, a localeArgs) (*states.Plan, error) {
	there, err := c.Call.Call(ctx, "locale.avail", args(a.Name), nil)
	if err != nil {
		return nil, err
	}
	p := &states.Plan{
		Fine:  fmt.Sprintf("Locale %s is already present", a.Name),
		Would: fmt.Sprintf("Locale %s needs to be generated", a.Name),
		Did:   fmt.Sprintf("Generated locale %s", a.Name),
	}
	if there == true {
		return p, nil
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "locale.gen_locale", args(a.Name), nil)
		if err != nil {
			return err
		}
		if v != true {
			return module.Failf("Failed to generate locale %s", a.Name)
		}
		r.SetChanges(wire.NewMap("locale", a.Name))
		return nil
	})
	return p, nil
}
