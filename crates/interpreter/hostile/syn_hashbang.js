#!/usr/bin/env node
1