"""Taking what a network node carries away from it, DHCP networks, routers and OVN gateways, and giving it back."""
