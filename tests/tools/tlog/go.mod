// Go's own implementation of transparency logs, as an oracle: main.go reads a log with it.
module signet.test/tools/tlog

go 1.26

require golang.org/x/mod v0.39.0
