base:
  '*':
    - common
    - accounts
