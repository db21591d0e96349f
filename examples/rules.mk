# The rules and the seed of init.safetensors. The Makefile rebuilds it when this file changes.
RULES = \
	-r 'fc1.weight=normal:mean=0,std=0.01' \
	-r 'fc2.weight=kaiming_normal:mode=fan_in,nonlinearity=relu' \
	-r '*.bias=zeros'
SEED = 0
