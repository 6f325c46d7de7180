#!/usr/bin/env bats
# Guards what bootstrap says and does, in a tree of its own where the tools that it calls only note that.

load helpers

# What bootstrap uses of the system. No other command is there, save those in /usr/sbin.
BASE_TOOLS=(awk bash cat chmod dirname env find grep id mkdir rm sed sh tail timeout touch xargs)

# tool NAME: a command that stands for the real one; the script is stdin.
tool() {
	{
		printf '#!/bin/sh\necho "%s $*" >>"$CALLS"\n' "$1"
		cat
	} >"bin/$1"
	chmod +x "bin/$1"
}

# make_tree: the tree, and the tools around it.
make_tree() {
	local name
	mkdir -p tree/.git tree/m4 bin
	cp "$BATS_TEST_DIRNAME/../bootstrap" tree/
	touch tree/configure.ac tree/Makefile.am
	for name in "${BASE_TOOLS[@]}"; do
		ln -s "$(command -v "$name")" "bin/$name"
	done
	for name in cc autoconf automake bats; do
		tool "$name" </dev/null
	done
	tool sudo <<-'END'
		[ "$1" != -n ] || shift
		"$@"
	END
	tool apt-get <<-'END'
		case $* in
		*--assume-no*)
			echo 'The following NEW packages will be installed:'
			echo 'Need to get 1234 kB of archives.'
			;;
		esac
	END
	tool autoreconf <<-'END'
		echo noise of autoreconf
		printf '#!/bin/sh\necho "configure $*" >>"$CALLS"\n: >config.status\n' >configure
		chmod +x configure
		: >Makefile.in
	END
	tool make <<-'END'
		echo noise of make
		case $* in
		*check*)
			for name in one two; do
				printf ':test-result: PASS\n' >"$2/tests/$name.trs"
				printf 'PASS: tests/%s.bats 1 is well\n' "$name" >"$2/tests/$name.log"
			done
			[ -n "$BROKEN" ] || exit 0
			printf ':test-result: FAIL\n:test-result: SKIP\n' >>"$2/tests/two.trs"
			printf 'FAIL: tests/two.bats 2 is broken\nSKIP: tests/two.bats 3\n' >>"$2/tests/two.log"
			exit 2
			;;
		esac
	END
}

# bootstrap STATUS WORD...: runs it in the tree; CALLS gets what it has called.
bootstrap() {
	local status=$1
	shift
	: >calls
	returns "$status" env -i CALLS="$PWD/calls" BROKEN="${BROKEN:-}" PATH="$PWD/bin" \
		"$PWD/bin/sh" tree/bootstrap "$@"
}

@test "--help is printed and is no error" {
	make_tree
	bootstrap 0 --help
	grep -q '^usage: ./bootstrap ' out
	holds err ''
	holds calls ''
}

@test "an unknown word, and one too many, are usage errors; nothing happens" {
	make_tree
	for words in 'help-me' 'demo foo' 'check foo' 'bench foo' 'check --enable-werror foo'; do
		# shellcheck disable=SC2086 # they are words
		bootstrap 2 $words
		grep -q '^usage: ./bootstrap ' err
		grep -q "^bootstrap: .*'${words##* }'" err
		holds out ''
		holds calls ''
	done
	[ ! -e tree/build ]
}

@test "check says what it installs and how much that is, and a line for each step; the noise is in the log" {
	make_tree
	bootstrap 0 check
	log=$PWD/tree/build/bootstrap.log
	grep -q "^logging to $log\$" out
	grep -q '^installing .*socat' out
	grep -q '^    Need to get 1234 kB of archives.$' out
	grep -q '^apt-get install -y .*socat' calls
	fails grep -e noise -e 'NEW packages' out
	grep -q 'noise of autoreconf' "$log"
	grep -q 'noise of make' "$log"
	[ "$(tail -n 1 out)" = '2 passed, 0 failed' ]
	[ "$(wc -l <out)" -le 8 ]
	holds err ''
}

@test "nothing is done twice: Autotools and configure run again only for what has changed" {
	make_tree
	bootstrap 0 check
	grep -q '^autoreconf ' calls
	grep -q '^configure ' calls
	bootstrap 0 check
	fails grep -e '^autoreconf ' -e '^configure ' calls
	# other options
	bootstrap 0 check --enable-werror
	fails grep '^autoreconf ' calls
	grep -q '^configure --enable-werror$' calls
	# another source of configure
	"$HELPERS/pause" 20
	touch tree/configure.ac
	bootstrap 0 check --enable-werror
	grep -q '^autoreconf ' calls
	grep -q '^configure ' calls
}

@test "tests that fail are named above the count, which is the last line" {
	make_tree
	BROKEN=yes bootstrap 1 check
	grep -qx 'FAIL: tests/two.bats 2 is broken' out
	grep -q "whole log is $PWD/tree/build/bootstrap.log" out
	[ "$(tail -n 1 out)" = '2 passed, 1 failed, 1 skipped' ]
}

@test "a step that fails shows the end of the log and its name" {
	make_tree
	tool make <<<'echo error: no semicolon; exit 2'
	bootstrap 1 check
	grep -q '^    error: no semicolon$' err
	grep -q "^bootstrap: .*$PWD/tree/build/bootstrap.log\$" err
}
