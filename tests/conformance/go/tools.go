//go:build tools

// Package main: programs of others that the tests run, pinned by go.sum.
package main

import _ "github.com/summerwind/h2spec/cmd/h2spec"
