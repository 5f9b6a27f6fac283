// Package zmq speaks ZeroMQ (ZMTP 3.0 and 3.1, NULL mechanism) over TCP to real Salt
// minions and masters and to our own.
//
// The library github.com/go-zeromq/zmq4 does the framing of messages and nothing more.
// It trusts what arrives: a frame header that announces 2^62 bytes, or one byte of
// truncated metadata, ends the process. So each connection stands behind a guard (type
// conn) that finishes the handshake itself, replays a clean copy of it to the library,
// checks every frame header before the library sees it, answers PING, and never lets a
// write wait for a peer.
//
// Start reading at conn.go (the guarded connection), frames.go (what comes in), queue.go
// (what goes out), sweep.go (the clock) and server.go (what both listening ports share);
// Router, Publisher and Dialer are thin above them.
package zmq
