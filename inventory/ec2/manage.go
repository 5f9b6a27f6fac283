package ec2

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

const (
	// lifeTime is how long a machine may take to start, stop or end when the caller has no
	// deadline of its own.
	lifeTime = 15 * time.Minute
	// settleTime is how long the API may not yet know what it has just made.
	settleTime = time.Minute
	// keyTag names the key pair that Create has made for a machine, and keyPrefix begins it.
	keyTag    = "gosalt:key"
	keyPrefix = "gosalt-vm-"
)

// Create makes an instance and waits until it runs. What belongs to it ends with it: its
// volumes, its network interfaces, and its key pair if that is made here. The request has
// a token, so that it makes one instance also when it has to be repeated; with
// client_token in Extra this holds for repeated calls of Create, too.
func (p *Provider) Create(ctx context.Context, spec inventory.Spec, progress func(string)) (inventory.Machine, error) {
	ctx, end := limit(ctx)
	defer end()
	x, err := readExtra(spec, p.env.Source)
	if err != nil {
		return inventory.Machine{}, err
	}
	s, e := p.open(ctx)
	if e != nil {
		return inventory.Machine{}, p.named(e)
	}
	region, e := p.regionToMakeIn(ctx, s, x.Text("region"))
	if e != nil {
		return inventory.Machine{}, p.named(e)
	}
	l := life{p: p, s: s, region: region, client: s.client(p, region, nil), progress: progress}
	in, e := l.request(ctx, spec, x)
	if e != nil {
		return inventory.Machine{}, p.named(e)
	}
	if err := spec.Begins(instanceThing + aws.ToString(in.ClientToken) + inRegion + region); err != nil {
		l.dropKey(ctx)
		return inventory.Machine{}, err
	}
	l.say("asking for %s in %s", spec.Size, region)
	out, err := l.client.RunInstances(ctx, in)
	if err != nil {
		m, e := l.afterFailure(ctx, aws.ToString(in.ClientToken), p.apiError(ctx, s, region, "RunInstances", err, nil))
		return m, p.named(e)
	}
	if len(out.Instances) != 1 {
		return inventory.Machine{}, p.named(&inventory.Error{Scope: region, Call: "RunInstances", Reason: inventory.BadAnswer, Msg: fmt.Sprintf("%d instances were made instead of one", len(out.Instances))})
	}
	m := machineOf(region, &types.Reservation{OwnerId: out.OwnerId, ReservationId: out.ReservationId}, &out.Instances[0])
	l.say("%s is made", m.ID)
	p.homes.Store(m.ID, region)
	m, inst, e := l.wait(ctx, m, types.InstanceStateNameRunning)
	if e != nil {
		return m, p.named(e)
	}
	if e := l.endsWhole(ctx, inst); e != nil {
		return m, p.named(e)
	}
	return m, nil
}

// Start starts a stopped instance and waits until it runs.
func (p *Provider) Start(ctx context.Context, id string, progress func(string)) error {
	return p.change(ctx, id, progress, "StartInstances", types.InstanceStateNameRunning, func(ctx context.Context, l *life, state types.InstanceStateName) *inventory.Error {
		switch state {
		case types.InstanceStateNameRunning, types.InstanceStateNamePending:
			return nil
		case types.InstanceStateNameStopping: // the API refuses to start it before it has stopped
			if _, _, e := l.wait(ctx, inventory.Machine{ID: id}, types.InstanceStateNameStopped); e != nil {
				return e
			}
		}
		_, err := l.client.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: []string{id}})
		return l.failed(ctx, "StartInstances", err)
	})
}

// Stop stops an instance and waits until it has.
func (p *Provider) Stop(ctx context.Context, id string, progress func(string)) error {
	return p.change(ctx, id, progress, "StopInstances", types.InstanceStateNameStopped, func(ctx context.Context, l *life, state types.InstanceStateName) *inventory.Error {
		if state == types.InstanceStateNameStopped || state == types.InstanceStateNameStopping {
			return nil
		}
		_, err := l.client.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}})
		return l.failed(ctx, "StopInstances", err)
	})
}

// Destroy terminates an instance, waits until that is done, and deletes the key pair that
// Create made for it.
func (p *Provider) Destroy(ctx context.Context, id string, progress func(string)) error {
	var done *life
	err := p.change(ctx, id, progress, "TerminateInstances", types.InstanceStateNameTerminated, func(ctx context.Context, l *life, state types.InstanceStateName) *inventory.Error {
		done = l
		if state == types.InstanceStateNameTerminated || state == types.InstanceStateNameShuttingDown {
			return nil
		}
		_, err := l.client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
		return l.failed(ctx, "TerminateInstances", err)
	})
	var e *inventory.Error
	if errors.As(err, &e) && e.Reason == inventory.NotFound {
		err = nil
	}
	if err == nil && done != nil {
		if e := done.dropKey(ctx); e != nil {
			return p.named(e)
		}
	}
	return err
}

// change finds an instance, does something to it, and waits for a state.
func (p *Provider) change(ctx context.Context, id string, progress func(string), call string, want types.InstanceStateName, do func(context.Context, *life, types.InstanceStateName) *inventory.Error) error {
	ctx, end := limit(ctx)
	defer end()
	if !strings.HasPrefix(id, "i-") {
		return p.named(&inventory.Error{Call: call, Reason: inventory.BadConfig, Msg: fmt.Sprintf("%q is no id of an instance, as i-0123456789abcdef0 is", id)})
	}
	s, e := p.open(ctx)
	if e != nil {
		return p.named(e)
	}
	client, m, inst, e := p.find(ctx, s, id)
	if e != nil {
		return p.named(e)
	}
	l := &life{p: p, s: s, region: m.Region, client: client, progress: progress, key: m.Tags[keyTag]}
	state := types.InstanceStateName("")
	if inst.State != nil {
		state = inst.State.Name
	}
	if state == types.InstanceStateNameTerminated && want != state {
		return p.named(&inventory.Error{Scope: l.region, Call: call, Reason: inventory.NotFound, Msg: id + " has been terminated"})
	}
	if e := do(ctx, l, state); e != nil {
		return p.named(e)
	}
	if _, _, e := l.wait(ctx, m, want); e != nil {
		return p.named(e)
	}
	return nil
}

// limit is the deadline of what has none.
func limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, lifeTime)
}

// A life is one instance that is made, changed or ended.
type life struct {
	p        *Provider
	s        *session
	region   string
	client   *ec2.Client
	progress func(string)
	key      string // the key pair that Create made for it
}

func (l *life) say(format string, args ...any) {
	if l.progress != nil {
		l.progress(fmt.Sprintf(format, args...))
	}
}

func (l *life) failed(ctx context.Context, call string, err error) *inventory.Error {
	if err == nil {
		return nil
	}
	return l.p.apiError(ctx, l.s, l.region, call, err, nil)
}

// wait looks at an instance until it is in a state, and says what it sees change.
func (l *life) wait(ctx context.Context, m inventory.Machine, want types.InstanceStateName) (inventory.Machine, *types.Instance, *inventory.Error) {
	begin, seen := time.Now(), types.InstanceStateName("")
	for delay := l.p.poll; ; delay = min(delay*3/2, 5*l.p.poll) {
		now, inst, e := l.p.describe(ctx, l.s, l.client, l.region, m.ID)
		switch {
		case e != nil && e.Reason == inventory.NotFound && want == types.InstanceStateNameTerminated:
			return m, nil, nil
		case e != nil && e.Reason == inventory.NotFound && time.Since(begin) < settleTime: // not yet known everywhere
		case e != nil && e.Reason == inventory.Throttled: // wait, and look again
		case e != nil:
			return m, nil, e
		default:
			m = now
			state := types.InstanceStateName("")
			if inst.State != nil {
				state = inst.State.Name
			}
			if state != seen {
				seen = state
				l.say("%s is %s", m.ID, state)
			}
			if state == want {
				return m, inst, nil
			}
			if ends := state == types.InstanceStateNameTerminated || state == types.InstanceStateNameShuttingDown; ends && want != types.InstanceStateNameTerminated {
				e := &inventory.Error{Scope: l.region, Call: "DescribeInstances", Reason: inventory.NotFound, Msg: fmt.Sprintf("%s is %s instead of %s", m.ID, state, want)}
				if r := inst.StateReason; r != nil {
					e.Code, e.Msg = aws.ToString(r.Code), e.Msg+": "+cloud.OneLine(aws.ToString(r.Message))
				}
				return m, inst, e
			}
		}
		select {
		case <-ctx.Done():
			e := cloud.Ended(ctx, "DescribeInstances")
			e.Scope = l.region
			e.Msg = fmt.Sprintf("%s was still %s, not %s", m.ID, seen, want)
			return m, nil, e
		case <-time.After(delay):
		}
	}
}

// afterFailure finds what a request that failed may have made all the same: one that was
// ended midway, whose answer got lost, or at which the API had a fault of its own.
func (l *life) afterFailure(ctx context.Context, token string, e *inventory.Error) (inventory.Machine, *inventory.Error) {
	var api smithy.APIError
	if errors.As(e.Err, &api) && e.Reason != inventory.NoAnswer {
		l.dropKey(ctx) // refused, and not made
		return inventory.Machine{}, e
	}
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer end()
	out, err := l.client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("client-token"), Values: []string{token}}}})
	if err != nil {
		e.Hint = strings.TrimPrefix(e.Hint+"; an instance may have been made: look for the client token "+token, "; ")
		return inventory.Machine{}, e
	}
	for _, r := range out.Reservations {
		for i := range r.Instances {
			return machineOf(l.region, &r, &r.Instances[i]), e
		}
	}
	return inventory.Machine{}, e
}

// endsWhole has all that hangs on an instance end with it.
func (l *life) endsWhole(ctx context.Context, inst *types.Instance) *inventory.Error {
	var stay []types.InstanceBlockDeviceMappingSpecification
	for _, b := range inst.BlockDeviceMappings {
		if b.Ebs != nil && !aws.ToBool(b.Ebs.DeleteOnTermination) {
			stay = append(stay, types.InstanceBlockDeviceMappingSpecification{DeviceName: b.DeviceName,
				Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: aws.Bool(true), VolumeId: b.Ebs.VolumeId}})
		}
	}
	if stay != nil {
		_, err := l.client.ModifyInstanceAttribute(ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: inst.InstanceId, BlockDeviceMappings: stay})
		if err != nil {
			return l.failed(ctx, "ModifyInstanceAttribute", err)
		}
	}
	for _, n := range inst.NetworkInterfaces {
		if a := n.Attachment; a != nil && !aws.ToBool(a.DeleteOnTermination) {
			_, err := l.client.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: n.NetworkInterfaceId,
				Attachment: &types.NetworkInterfaceAttachmentChanges{AttachmentId: a.AttachmentId, DeleteOnTermination: aws.Bool(true)}})
			if err != nil {
				return l.failed(ctx, "ModifyNetworkInterfaceAttribute", err)
			}
		}
	}
	return nil
}

// dropKey deletes the key pair that was made for a machine.
func (l *life) dropKey(ctx context.Context) *inventory.Error {
	if !strings.HasPrefix(l.key, keyPrefix) {
		return nil
	}
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer end()
	_, err := l.client.DeleteKeyPair(ctx, &ec2.DeleteKeyPairInput{KeyName: aws.String(l.key)})
	return l.failed(ctx, "DeleteKeyPair", err)
}

// newToken is what a request is known by when it is repeated.
func newToken() string { return keyPrefix + strings.ToLower(rand.Text()) }

// tokenOf is the token of a machine that its maker has a record of.
func tokenOf(record string) string {
	if record == "" || len(record) > 40 {
		return ""
	}
	return keyPrefix + record
}
