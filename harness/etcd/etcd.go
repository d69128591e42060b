// Package etcd asks the members of a cluster's etcd how they are, each for itself.
//
//	members, err := etcd.Dial(ctx, cluster)
//	statuses, err := members.InStep(ctx)
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/trace"
)

// MaxBehind is how many entries of the log a member may have still to apply and count as in step: the cluster is written to while its members are asked one after the
// other. etcd itself refuses requests at 5000 (server/etcdserver/v3_server.go, maxGapBetweenApplyAndCommitIndex).
const MaxBehind = 1000

const (
	// answerTimeout is how long a member may take to answer.
	answerTimeout = time.Second
	// askEvery is the time between two questions to all members.
	askEvery = 500 * time.Millisecond
	// agreeTimeout is how long the members may take to agree on an alarm or a member.
	agreeTimeout = 10 * time.Second
)

// reconnect is how soon a broken connection is tried again: gRPC's default grows to two minutes.
var reconnect = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second}

// Members are the members of a cluster's etcd; a nil one has none. Their methods may be called from several goroutines.
type Members struct{ all []member }

type member struct {
	node     string
	endpoint string
	tls      *tls.Config
	client   *clientv3.Client
}

// Dial makes a client for each member; it does not ask them yet.
func Dial(ctx context.Context, of cluster.Etcd) (*Members, error) {
	found, err := of.EtcdMembers(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the members of etcd: %w", err)
	}
	members := &Members{}
	for _, m := range found {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: []string{m.Endpoint}, TLS: m.TLS, Logger: zap.NewNop(), MaxUnaryRetries: 1,
			DialOptions: []grpc.DialOption{grpc.WithNoProxy(), grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: answerTimeout})},
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make client for etcd/%s: %w", m.Node, err), members.Close())
		}
		members.all = append(members.all, member{node: m.Node, endpoint: m.Endpoint, tls: m.TLS, client: client})
	}
	return members, nil
}

// Close closes the clients.
func (m *Members) Close() error {
	if m == nil {
		return nil
	}
	var errs []error
	for _, one := range m.all {
		errs = append(errs, one.client.Close())
	}
	return errors.Join(errs...)
}

// Nodes lists where the members are.
func (m *Members) Nodes() []string {
	if m == nil {
		return nil
	}
	var nodes []string
	for _, one := range m.all {
		nodes = append(nodes, one.node)
	}
	return nodes
}

// Client is a client of one member.
type Client struct {
	// Node is the control plane that it runs on.
	Node     string
	Endpoint string
	// TLS is what it proves itself with.
	TLS *tls.Config
	*clientv3.Client
}

// Clients lists a client for each member, ordered by node.
func (m *Members) Clients() []Client {
	var clients []Client
	if m != nil {
		for _, one := range m.all {
			clients = append(clients, Client{one.node, one.endpoint, one.tls, one.client})
		}
	}
	return clients
}

// Status asks the member of a node how it is.
func (m *Members) Status(ctx context.Context, node string) (trace.EtcdData, error) {
	one, err := m.of(node)
	if err != nil {
		return trace.EtcdData{}, err
	}
	return one.status(ctx)
}

// Serves asks the member of a node whether it answers and follows a leader: one that knows none takes part in no quorum.
func (m *Members) Serves(ctx context.Context, node string) error {
	s, err := m.Status(ctx, node)
	if err == nil && s.Leader == "" {
		err = fmt.Errorf("etcd/%s knows no leader", node)
	}
	return err
}

func (m *Members) of(node string) (member, error) {
	if m != nil {
		for _, one := range m.all {
			if one.node == node {
				return one, nil
			}
		}
	}
	return member{}, fmt.Errorf("node %q has no member of etcd", node)
}

// status asks over the member's connection, and over a new one when that gives no answer soon: a connection that broke with the member, or was cut off with it, is not waited for.
func (one member) status(ctx context.Context) (trace.EtcdData, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	s, err := one.ask(ctx)
	if err != nil && ctx.Err() == nil {
		s, err = one.client.Status(ctx, one.endpoint) // which makes one
	}
	if err != nil {
		return trace.EtcdData{}, fmt.Errorf("ask etcd/%s: %w", one.node, err)
	}
	d := trace.EtcdData{
		Node: one.node, ID: id(s.Header.MemberId), ClusterID: id(s.Header.ClusterId), Version: s.Version, Learner: s.IsLearner,
		Term: s.RaftTerm, Committed: s.RaftIndex, Applied: s.RaftAppliedIndex, Revision: s.Header.Revision, SizeBytes: s.DbSize, Alarms: []string{}, Strangers: []string{},
	}
	if s.Leader != 0 {
		d.Leader = id(s.Leader)
	}
	return d, nil
}

// ask asks for the status over the connection that there is. A handshake for each question took a hundredth of two processors' time while a fleet of three members was upgraded.
func (one member) ask(ctx context.Context) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout/2)
	defer cancel()
	s, err := etcdserverpb.NewMaintenanceClient(one.client.ActiveConnection()).Status(ctx, &etcdserverpb.StatusRequest{})
	return (*clientv3.StatusResponse)(s), err
}

// id writes a member's or a cluster's id as etcdctl does.
func id(n uint64) string { return fmt.Sprintf("%x", n) }

// InStep asks all members. The error says what keeps them from being one healthy cluster: a member that does not answer, or is a learner, or has applied less than
// the others have committed; leaders that differ; a member that no control plane runs; an [AlarmError].
func (m *Members) InStep(ctx context.Context) ([]trace.EtcdData, error) {
	if m == nil {
		return nil, nil
	}
	var all []trace.EtcdData
	var errs []error
	for _, one := range m.all {
		s, err := one.status(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, s)
	}
	behind := outOfStep(all)
	if len(errs) > 0 {
		return all, errors.Join(append(errs, behind)...)
	}
	return all, errors.Join(behind, m.strangers(ctx, all), m.alarms(ctx, all))
}

// AwaitInStep asks all members until they are one healthy cluster, one of them has an alarm, or the context ends. It returns what [Members.InStep] did last; an answer that the end of the context cut short is none.
func (m *Members) AwaitInStep(ctx context.Context) (said []trace.EtcdData, wrong error) {
	_ = wait.PollUntilContextCancel(ctx, askEvery, true, func(ctx context.Context) (bool, error) { // that the time is over says less than what is wrong
		answers, err := m.InStep(ctx)
		if ctx.Err() != nil && wrong != nil {
			return false, ctx.Err()
		}
		said, wrong = answers, err
		alarm := (*AlarmError)(nil)
		return wrong == nil || errors.As(wrong, &alarm), nil
	})
	return said, wrong
}

// outOfStep says what keeps members that answer from being in step, and writes to the statuses how far behind each is.
func outOfStep(all []trace.EtcdData) error {
	var errs []error
	var committed uint64
	for _, s := range all {
		committed = max(committed, s.Committed)
	}
	for i, s := range all {
		if committed > s.Applied {
			all[i].Behind = committed - s.Applied
		}
		switch {
		case s.Leader == "":
			errs = append(errs, fmt.Errorf("etcd/%s knows no leader", s.Node))
		case s.Leader != all[0].Leader:
			errs = append(errs, fmt.Errorf("etcd/%s follows %s, and etcd/%s follows %s", s.Node, s.Leader, all[0].Node, all[0].Leader))
		case s.Learner:
			errs = append(errs, fmt.Errorf("etcd/%s is a learner, which has no vote", s.Node))
		case all[i].Behind > MaxBehind:
			errs = append(errs, fmt.Errorf("etcd/%s has applied %d of %d entries", s.Node, s.Applied, committed))
		}
	}
	return errors.Join(errs...)
}

// strangers asks the first member for all that it knows, and writes to its status those that no control plane of the cluster runs: each has a vote nevertheless.
func (m *Members) strangers(ctx context.Context, all []trace.EtcdData) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := m.all[0].client.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("ask etcd/%s for its members: %w", m.all[0].node, err)
	}
	for i := range all {
		all[i].MembersAsked = true
	}
	for _, listed := range answer.Members {
		if !slices.ContainsFunc(all, func(s trace.EtcdData) bool { return s.ID == id(listed.ID) }) {
			all[0].Strangers = append(all[0].Strangers, strings.TrimSpace(id(listed.ID)+" "+listed.Name))
		}
	}
	if len(all[0].Strangers) == 0 {
		return nil
	}
	return fmt.Errorf("etcd/%s has members that no control plane runs: %s", all[0].Node, strings.Join(all[0].Strangers, ", "))
}

// orphanPeer is where a member would be that nobody starts.
const orphanPeer = "https://orphan.invalid:2380"

// AddOrphan has a node's member add one that nobody starts: etcdctl member add, and then nothing.
func (m *Members) AddOrphan(ctx context.Context, node string) error {
	one, err := m.of(node)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	if _, err := one.client.MemberAdd(ctx, []string{orphanPeer}); err != nil {
		return fmt.Errorf("add a member by etcd/%s: %w", node, err)
	}
	return nil
}

// RaiseNoSpace has a node's member raise the alarm that it raises when its database is full: from then on no member takes a write that needs room.
func (m *Members) RaiseNoSpace(ctx context.Context, node string) error {
	return m.alarm(ctx, node, func(ctx context.Context, one member, id uint64) error {
		_, err := etcdserverpb.NewMaintenanceClient(one.client.ActiveConnection()).Alarm(ctx, &etcdserverpb.AlarmRequest{
			Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: id, Alarm: etcdserverpb.AlarmType_NOSPACE,
		})
		return err
	})
}

// DisarmNoSpace takes the alarm back: etcdctl alarm disarm.
func (m *Members) DisarmNoSpace(ctx context.Context, node string) error {
	return m.alarm(ctx, node, func(ctx context.Context, one member, id uint64) error {
		_, err := one.client.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: id, Alarm: etcdserverpb.AlarmType_NOSPACE})
		return err
	})
}

func (m *Members) alarm(ctx context.Context, node string, change func(context.Context, member, uint64) error) error {
	one, err := m.of(node)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	s, err := one.client.Status(ctx, one.endpoint)
	if err == nil {
		err = change(ctx, one, s.Header.MemberId)
	}
	if err != nil {
		return fmt.Errorf("change the alarm of etcd/%s: %w", node, err)
	}
	return nil
}

// HandOn has a node's member hand the leadership on, if it has it, and says to whose it did: etcdctl move-leader. "" means that it did not have it. The other is the next
// node's. The error says why there is none, or what keeps the members from being in step.
func (m *Members) HandOn(ctx context.Context, node string) (to string, err error) {
	one, err := m.of(node)
	if err != nil {
		return "", err
	}
	statuses, err := m.InStep(ctx)
	at := slices.IndexFunc(statuses, func(s trace.EtcdData) bool { return s.Node == node })
	if err != nil || at < 0 {
		return "", fmt.Errorf("hand on the leadership of etcd/%s: %w", node, err)
	}
	if statuses[at].Leader != statuses[at].ID {
		return "", nil
	}
	if len(statuses) == 1 {
		return "", fmt.Errorf("hand on the leadership of etcd/%s: there is no other member", node)
	}
	next := statuses[(at+1)%len(statuses)]
	number, err := strconv.ParseUint(next.ID, 16, 64)
	if err != nil {
		return "", fmt.Errorf("read the id of etcd/%s: %w", next.Node, err)
	}
	ctx, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	if _, err := one.client.MoveLeader(ctx, number); err != nil {
		return "", fmt.Errorf("hand on the leadership of etcd/%s to etcd/%s: %w", node, next.Node, err)
	}
	return next.Node, nil
}

// AlarmError says that etcd has alarms, which stay until somebody disarms them: https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota.
type AlarmError struct{ Members []trace.EtcdData }

func (e *AlarmError) Error() string {
	var all []string
	for _, s := range e.Members {
		if len(s.Alarms) > 0 {
			all = append(all, fmt.Sprintf("etcd/%s has the alarm %s", s.Node, strings.Join(s.Alarms, " and ")))
		}
	}
	return strings.Join(all, "; ")
}

// alarms asks for the alarms, which every member knows of all, and writes them to the statuses. When there are any, the error is an [*AlarmError].
func (m *Members) alarms(ctx context.Context, all []trace.EtcdData) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := m.all[0].client.AlarmList(ctx)
	if err != nil {
		return fmt.Errorf("ask etcd/%s for alarms: %w", m.all[0].node, err)
	}
	for i := range all {
		all[i].AlarmsAsked = true
	}
	raised := false
	for _, alarm := range answer.Alarms {
		if alarm.Alarm == etcdserverpb.AlarmType_NONE {
			continue
		}
		raised = true
		what, of := alarm.Alarm.String(), slices.IndexFunc(all, func(s trace.EtcdData) bool { return s.ID == id(alarm.MemberID) })
		if of < 0 { // it holds up the others nevertheless, and outlives its member
			what, of = what+" of the member "+id(alarm.MemberID), 0
		}
		all[of].Alarms = append(all[of].Alarms, what)
	}
	if !raised {
		return nil
	}
	return &AlarmError{Members: all}
}
