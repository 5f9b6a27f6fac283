base:
  '*':
    - base
    - files
    - accounts
    - system
  'os_family:Debian':
    - match: grain
    - packages
    - web
  'absent*':
    - never
