#!/bin/sh
echo {{ grains["os_family"] }} "$@"; touch /srv/scripted
