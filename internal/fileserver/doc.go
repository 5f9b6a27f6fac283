// Package fileserver finds and lists the files that states and functions work with:
// Salt's file server without the network. A Server asks its backends in their order,
// of which Roots, the directories of file_roots, is here; the others are the master's.
//
// A master answers its minions from one, and a minion with "file_client: local" reads
// from one directly, so both find the same files. Start with Server.Find and
// Server.List; roots.go walks directories.
package fileserver
